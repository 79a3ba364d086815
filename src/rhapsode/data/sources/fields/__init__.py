"""Records of JSON, CSV and Parquet files, and their text fields."""
