"""Images, features and labels of whatever kind, as what is measured."""
