// A real server in a temporary folder, which may be killed and started again where it was.
//
// It ends with this process, however that ends: a warden (`/bin/sh`) holds its process and stops it when the pipe from here
// closes. Only `kill9` takes it away in the hard way that it must survive.
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { Api } from './api.mjs';
import { again } from './patience.mjs';

const run = promisify(execFile);

const WARDEN = `
log=$1
shift
exec 3<&0
"$@" </dev/null 3<&- >>"$log" 2>&1 &
server=$!
echo "$server"
{ cat <&3; kill -TERM "$server"; } >/dev/null 2>&1 &
exec 3<&-
wait "$server"
`;

async function freePort() {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address();
  listener.close();
  return port;
}

export class Server {
  // On SQLite, unless `database` is the URL of a PostgreSQL.
  static async start({ program, database, engine }) {
    const folder = await mkdtemp(join(tmpdir(), 'ferroform-browser-'));
    const server = new Server();
    Object.assign(server, { program, database, engine, folder, port: await freePort() });
    server.url = `http://127.0.0.1:${server.port}`;
    await server.launch();
    server.admin = new Api(server.url, (await readFile(join(server.data, 'admin-token'), 'utf8')).trim());
    return server;
  }

  get data() {
    return join(this.folder, 'data');
  }

  get environment() {
    const ours = Object.entries(process.env).filter(([name]) => !/^(TF_|FERROFORM_)/.test(name));
    return { ...Object.fromEntries(ours), ...(this.database && { FERROFORM_DATABASE: this.database }) };
  }

  async launch() {
    const engine = this.engine ? ['--engine', this.engine] : [];
    const serve = ['serve', '--data-dir', this.data, '--listen', `127.0.0.1:${this.port}`, '--url', this.url, '--tls', 'off'];
    const words = ['-c', WARDEN, 'server-warden', join(this.folder, 'log'), this.program, ...serve, '--rate-limit', '0', ...engine];
    this.warden = spawn('/bin/sh', words, { stdio: ['pipe', 'pipe', 'inherit'], env: this.environment });
    this.ended = once(this.warden, 'exit');
    const lines = createInterface({ input: this.warden.stdout });
    [this.process] = (await once(lines, 'line')).map(Number);
    await again('the server is ready', async () => {
      if (this.warden.exitCode !== null) throw new Error(`the server ended; it said:\n${await this.log()}`);
      return (await fetch(`${this.url}/_health_check`).catch(() => ({}))).ok;
    });
  }

  log() {
    return readFile(join(this.folder, 'log'), 'utf8');
  }

  // As a power cut would, for this process alone.
  async kill9() {
    process.kill(this.process, 'SIGKILL');
    await this.ended;
  }

  // Asks it to stop, and takes its folder away.
  async stop() {
    this.warden.stdin.end();
    await this.ended;
    await rm(this.folder, { recursive: true, force: true });
  }

  async command(...words) {
    const { stdout } = await run(this.program, [...words, '--data-dir', this.data], { env: this.environment });
    return stdout;
  }

  // A link with which a person signs in.
  async link(name) {
    const said = await this.command('user', 'link', name);
    return said.match(/https?:\/\/\S+/)[0];
  }

  // Makes a person who may sign in, and is in no organization yet.
  async person(name) {
    await this.command('user', 'create', name, '--email', `${name}@example.com`);
  }
}
