// An organization in the middle of its day, as pictures and walks want one: always with the same names.
import { BROKEN } from './configuration.mjs';

const NETWORKING = {
  'main.tf': `
variable "region" { default = "eu-west-1" }
variable "token" {
  default   = "hunter2"
  sensitive = true
}
resource "terraform_data" "network" {
  input = { region = var.region, cidr = "10.0.0.0/16", zones = ["a", "b", "c"] }
}
resource "terraform_data" "subnet" {
  for_each = toset(["a", "b", "c"])
  input    = { zone = each.key, network = terraform_data.network.id }
}
resource "terraform_data" "secret" { input = var.token }
module "app" {
  source  = "./app"
  network = terraform_data.network.id
}
output "network" { value = terraform_data.network.output.cidr }
output "token" {
  value     = var.token
  sensitive = true
}
`,
  'app/main.tf': `
variable "network" {}
resource "terraform_data" "server" {
  count = 3
  input = { name = "web-\${count.index}", network = var.network }
}
resource "terraform_data" "balancer" {
  input            = [for server in terraform_data.server : server.id]
  triggers_replace = [var.network]
}
`,
  'README.md': `# Networking

Owned by the **platform** team.

- \`network\` and its subnets
- who is on call reads the [runbook](https://example.com/runbook)
`,
};

const MOVED = {
  ...NETWORKING,
  'main.tf': NETWORKING['main.tf'].replace('eu-west-1', 'eu-central-1').replace('"c"])', '"d"])'),
  'app/main.tf': NETWORKING['app/main.tf'].replace('count = 3', 'count = 2'),
};

// Makes it, and gives its names and the pages to begin at beside the first one.
export async function seed(server, gate, organization = 'acme') {
  const api = server.admin;
  await api.organization(organization);
  const at = `/organizations/${organization}`;
  const platform = await api.make(`${at}/projects`, 'projects', { name: 'Platform', description: 'What all others stand on' });
  const workspace = (name, attributes = {}, tag = 'prod') =>
    api.workspace(organization, name, { 'tag-names': [`env:${tag}`], ...attributes }, { project: ['projects', platform.id] });

  const networking = await workspace('networking', { description: 'Networks of all regions' });
  const made = await api.run(networking, NETWORKING, { message: 'Make the network' });
  await api.until(made, 'planned');
  await api.act(made, 'apply', 'Looks right');
  await api.until(made, 'applied');
  const wanted = await api.run(networking, MOVED, { message: 'Move to Frankfurt, and fewer servers' });
  await api.until(wanted, 'planned');

  const billing = await workspace('billing');
  const failed = await api.run(billing, BROKEN, { message: 'Set up billing', 'auto-apply': true });
  await api.until(failed, 'errored');

  const slow = await workspace('database', {}, 'dev');
  const running = await api.run(slow, gate.configuration, { message: 'Resize the disks', 'auto-apply': true });
  await gate.say('Waiting for the disks to settle');
  await api.until(running, 'applying');
  await api.run(slow, gate.configuration, { message: 'Add a replica' });

  for (const name of ['dashboards', 'dns', 'identity', 'mail', 'queue', 'search', 'storage']) await workspace(name, {}, 'dev');
  const variable = (attributes) => api.make(`/workspaces/${networking.id}/vars`, 'vars', attributes);
  await variable({ key: 'region', value: 'eu-central-1', category: 'terraform', description: 'Where all is' });
  await variable({ key: 'AWS_SECRET_ACCESS_KEY', value: 's3cr3t', category: 'env', sensitive: true });
  const set = await api.make(`${at}/varsets`, 'varsets', { name: 'Everywhere', global: true });
  await api.make(`/varsets/${set.id}/relationships/vars`, 'vars', { key: 'region', value: 'us-east-1', category: 'terraform' });

  const mona = 'mona';
  await server.person(mona);
  await api.team(organization, 'developers', mona, 'write', networking);
  const workspaces = `/app/${organization}/workspaces`;
  return [
    '/app',
    `/app/${organization}`,
    `${workspaces}/networking`,
    `${workspaces}/networking/runs/${wanted.id}`,
    `${workspaces}/networking/runs/${made.id}`,
    `${workspaces}/billing/runs/${failed.id}`,
    `${workspaces}/database/runs/${running.id}`,
    `${workspaces}/dns`,
  ];
}
