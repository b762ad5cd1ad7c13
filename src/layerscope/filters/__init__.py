"""The filters of a study: their strongest patches, with what each filter keeps of them."""
