"""The recurrent cells: parameters, initial values, step and gates of each."""
