"""What is deployed: the declaration of Odin, its settings, and one module a Terraform stack."""
