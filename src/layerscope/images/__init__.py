"""Picture files and sets of pictures: found, decoded, read ahead."""
