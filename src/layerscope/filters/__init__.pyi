"""The filters of a study: their strongest patches, with what each filter keeps of them."""

from .painting import Drawing as Drawing
from .portraits import FilterOptions as FilterOptions
from .portraits import drawing_of as drawing_of
from .portraits import make_portraits as make_portraits
from .portraits import rules_for as rules_for
from .top_filters import Filter as Filter
from .top_filters import Patch as Patch
from .top_filters import top_filters as top_filters
