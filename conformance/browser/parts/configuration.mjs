// Configurations that need no provider.

export const NETWORK = {
  'main.tf': `
variable "region" { default = "eu-west-1" }
resource "terraform_data" "network" {
  input = { region = var.region, cidr = "10.0.0.0/16" }
}
resource "terraform_data" "subnet" {
  for_each = toset(["a", "b", "c"])
  input    = { zone = each.key, network = terraform_data.network.id }
}
output "network" { value = terraform_data.network.output.cidr }
`,
  'README.md': '# Networking\n\nOwned by the **platform** team.\n',
};

export const BROKEN = {
  'main.tf': `
resource "terraform_data" "bucket" {
  provisioner "local-exec" { command = "echo no such bucket >&2; exit 3" }
}
`,
};
