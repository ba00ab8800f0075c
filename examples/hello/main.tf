# The smallest configuration that shows every part of a run: a resource, input variables (one of them sensitive) and
# outputs. `terraform_data` is built into Terraform and OpenTofu, so there is no provider to download.

terraform {
  required_version = ">= 1.4"
}

variable "greeting" {
  description = "What to say."
  type        = string
  default     = "Hello"
}

variable "audience" {
  description = "Whom to say it to."
  type        = list(string)
  default     = ["world"]
}

variable "passphrase" {
  description = "A secret. Set it as a sensitive variable of the workspace; no log and no API answer shows it."
  type        = string
  sensitive   = true
}

resource "terraform_data" "greeting" {
  for_each = toset(var.audience)
  input    = "${var.greeting}, ${each.key}!"
}

resource "terraform_data" "vault" {
  input = var.passphrase
}

output "greetings" {
  description = "One greeting for each of the audience."
  value       = [for greeting in terraform_data.greeting : greeting.output]
}

output "passphrase_length" {
  description = "How long the secret is; not a secret by itself."
  value       = nonsensitive(length(var.passphrase))
}

output "passphrase" {
  description = "The secret itself: its value is hidden wherever outputs are listed."
  value       = terraform_data.vault.output
  sensitive   = true
}
