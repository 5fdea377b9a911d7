"""The questions, each a query; see `tracklog.analytics.faces` for how they are asked."""
