"""Read and write Kafka topics."""
