"""The pages: functions from what is known to rows of text, with no widget and no event in them."""
