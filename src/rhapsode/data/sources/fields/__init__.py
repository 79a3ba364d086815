"""Records of JSON, CSV and Parquet files, and the fields that hold their texts."""
