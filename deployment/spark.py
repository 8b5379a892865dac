"""The command for spark-submit, which takes a file: `spark-submit --driver-memory 4g deployment/spark.py run …`."""

from mfcore.cli import main

if __name__ == "__main__":
    main()
