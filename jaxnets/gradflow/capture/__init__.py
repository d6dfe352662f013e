"""How `measure_module` taps a Flax module: classes, names, and what is differentiated.

Only this package and `modules.py` know Flax, and they import it inside functions.
"""
