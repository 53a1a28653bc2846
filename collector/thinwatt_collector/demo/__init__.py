"""A demonstration on one machine: a real collector, a real agent, and made-up machines that say that they are."""
