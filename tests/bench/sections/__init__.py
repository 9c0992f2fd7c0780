"""What is measured, one file per subject. Each measures its cases in turns and puts figures into the report."""
