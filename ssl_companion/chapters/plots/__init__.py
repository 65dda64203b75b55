"""The drawings of the book: one seaborn theme, plain arrays and tables in, figures out."""
