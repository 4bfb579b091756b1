"""How each kind of check is made against a running system; `system` says which is made how."""
