"""Names that a user chooses from, said here once and without importing what they stand for."""

RULES = ("deconvnet", "guided", "gradient")  #: how a signal passes a rectifier on its way back
PATCHES_ALONE = "none"  #: in place of a rule: filters' patches without what they keep of them
DISPLAYS = ("signed", "minmax", "positive", "magnitude", "heat")  #: how a panel shows its values
PRECISIONS = ("float32", "bfloat16", "float64")  #: that a network computes in
MOST_EACH = 1_000  #: pictures of one channel that are made together, at most
RECIPES = ("paper", "short")  #: of training
PARTS = (
    "rows",
    "predictions",
    "sparsity",
    "similarity",
    "filters",
    "background",
    "randomisation",
    "training",
)  #: of a comparison, in the order of its report
