"""Pictures: taken in parts, checked, decoded and encoded anew, sealed, and kept on disk or in an S3 bucket."""
