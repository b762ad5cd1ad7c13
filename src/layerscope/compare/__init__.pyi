"""Two or more networks side by side."""

from .sparsity import sparsity_table as sparsity_table
