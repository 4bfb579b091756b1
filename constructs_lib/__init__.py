"""How Odin is built: the vocabulary of a topology, the pure functions that derive everything from it,
and the CDKTF constructs that turn the derived into Terraform.

Only `google`, `docker_host` and `flow_firewall` import cdktf; everything else starts in milliseconds.
"""
