"""What others use: lists, titles and exported files, all made from factors."""
