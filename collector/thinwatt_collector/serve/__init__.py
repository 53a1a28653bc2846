"""What readers meet: /metrics in both text formats, health, TLS and passwords. Nothing here computes."""
