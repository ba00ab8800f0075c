// A place where an apply stops until the test lets it go on, and prints what the test says meanwhile.
import { once } from 'node:events';
import { createServer } from 'node:net';

export class Gate {
  static async build() {
    const gate = new Gate();
    gate.listener = createServer();
    gate.listener.listen(0, '127.0.0.1');
    await once(gate.listener, 'listening');
    gate.visitor = once(gate.listener, 'connection').then(([socket]) => socket);
    return gate;
  }

  // A configuration whose first apply comes here, in the middle of its one resource.
  get configuration() {
    const { port } = this.listener.address();
    return {
      'main.tf': `
resource "terraform_data" "gate" {
  input = "behind the gate"
  provisioner "local-exec" {
    interpreter = ["/bin/bash", "-c"]
    command     = "exec 3<>/dev/tcp/127.0.0.1/${port}; while read -r line <&3; do echo \\"$line\\"; done"
  }
}
output "passed" { value = terraform_data.gate.output }
`,
    };
  }

  // Waits until an apply has come, and has it print a line.
  async say(line) {
    (await this.visitor).write(`${line}\n`);
  }

  // Lets it go on.
  async open() {
    (await this.visitor).end();
    this.listener.close();
  }

  // Sends home whoever still stands there; for the end of a test that failed.
  async tear() {
    this.listener.close();
    this.visitor.then((socket) => socket.destroy());
  }
}
