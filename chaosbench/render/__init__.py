"""A finished summary in forms that people read. One file a form; none of them computes a figure."""
