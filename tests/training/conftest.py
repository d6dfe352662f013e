"""Many small programs: most of the time of these tests is compiling."""

from tests.nn.conftest import quick_compilation as quick_compilation
