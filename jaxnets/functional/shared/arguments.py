"""The checks of single arguments, under the name that this package knows them by."""

from jaxnets.arguments import as_array as as_array
from jaxnets.arguments import as_count as as_count
from jaxnets.arguments import as_dtype as as_dtype
from jaxnets.arguments import as_optional_array as as_optional_array
from jaxnets.arguments import as_switch as as_switch
from jaxnets.arguments import described as described
from jaxnets.arguments import int_or_none as int_or_none
from jaxnets.arguments import list_or_none as list_or_none
