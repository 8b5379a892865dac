"""The stages as Prefect flows, each deployable alone, and the pipeline that chains them."""
