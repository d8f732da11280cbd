"""The domain: ledger, join, rates, detection, routing. Values in, values out; time is an argument."""
