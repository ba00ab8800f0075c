// Tests: each is told with a sentence, has the server and the browser of the whole suite, and makes an organization of its own.
import { after, before, describe, test } from 'node:test';
import { Person, launch } from './browser.mjs';
import { Gate } from './gate.mjs';
import { Server } from './server.mjs';

const { FERROFORM_BROWSER_SERVER: program, FERROFORM_BROWSER_DATABASE: database, FERROFORM_BROWSER_ENGINE: engine } =
  process.env;

const suite = {};
let organizations = 0;

before(async () => {
  if (!program) throw new Error('run `cargo xtask browser`, which says where the server program is');
  suite.server = await Server.start({ program, database, engine });
  suite.browser = await launch();
});

after(async () => {
  await suite.browser?.close();
  await suite.server?.stop();
});

// The world of one test.
class World {
  people = [];
  gates = [];

  get server() {
    return suite.server;
  }

  get browser() {
    return suite.browser;
  }

  get api() {
    return suite.server.admin;
  }

  // Somebody who has signed in; `options` are Playwright's of a context.
  async person(name, options) {
    const person = await Person.signedIn(suite.browser, suite.server, name, options);
    this.people.push(person);
    return person;
  }

  // Somebody who has not.
  async guest(options) {
    const person = await Person.arrive(suite.browser, suite.server, options);
    this.people.push(person);
    return person;
  }

  async gate() {
    const gate = await Gate.build();
    this.gates.push(gate);
    return gate;
  }

  organization() {
    organizations += 1;
    return this.api.organization(`org-${organizations}`);
  }

  // Everybody goes home, and has seen nothing amiss.
  async end(failed) {
    for (const gate of this.gates) gate.tear();
    for (const person of this.people) {
      if (failed) await person.context.close();
      else await person.leave();
    }
  }
}

export { describe };

// A rule that holds. `work` is given its world.
export function rule(sentence, work, options = {}) {
  test(sentence, { timeout: 120_000, ...options }, async (context) => {
    const world = new World();
    try {
      await work(world, context);
    } catch (error) {
      for (const { page, faults } of world.people) {
        context.diagnostic(`looked at ${page.url()}: ${(await page.innerText('body').catch(() => '')).slice(0, 1500)}`);
        for (const fault of faults) context.diagnostic(fault);
      }
      await world.end(true);
      throw error;
    }
    await world.end(false);
  });
}
