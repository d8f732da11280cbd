"""How soon and how falsely CT-SR alarms, against an oracle and the usual detectors: `make bench-detection`.

Events are failures: every stream is a stream of failure indicators, a drop of the success rate is a rise of theirs.
"""
