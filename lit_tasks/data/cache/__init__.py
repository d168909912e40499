"""Arrow files of rows and of token ids, made once for each input."""
