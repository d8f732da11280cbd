"""The stateful steps, their messages and the outputs of the dataflow."""
