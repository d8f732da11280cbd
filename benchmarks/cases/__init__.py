"""Says what each case of ../shared/cases wants, and finds what the product makes of it."""
