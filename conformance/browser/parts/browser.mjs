// Debian's Chromium, and people who sit at it. Each has a browser profile of their own, and whatever they look at is watched:
// no page may ask another host, break its own policy, or complain on the console.
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';

export const PATIENCE = 20_000;

export function launch() {
  const executablePath = process.env.FERROFORM_BROWSER_CHROMIUM || '/usr/bin/chromium';
  // Its own sandbox does not work as root or in containers; what it loads is ours.
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

// What htmx writes when a stream ends because the page was left.
const LEFT = /console error: \[object Event\] \(.*\/_assets\/htmx-/;

// Somebody at a browser. `options` are Playwright's of a context.
export class Person {
  static async arrive(browser, server, options = {}) {
    const person = new Person();
    const context = await browser.newContext({ reducedMotion: 'reduce', baseURL: server.url, ...options });
    Object.assign(person, { context, server, faults: [], forgiven: [LEFT] });
    context.setDefaultTimeout(PATIENCE);
    await context.route('**/*', (route) => {
      const address = new URL(route.request().url());
      if (address.origin === server.url || address.protocol === 'data:') return route.continue();
      person.faults.push(`a request to another host: ${address}`);
      return route.abort();
    });
    context.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) {
        person.fault(`${message.page()?.url()}: console ${message.type()}: ${message.text()} (${message.location().url})`);
      }
    });
    context.on('weberror', (error) => person.fault(`${error.page()?.url()}: ${error.error()}`));
    person.page = await context.newPage();
    return person;
  }

  static async signedIn(browser, server, name = 'admin', options = {}) {
    const person = await Person.arrive(browser, server, options);
    await person.page.goto(await server.link(name));
    await person.page.getByRole('button', { name: 'Sign in' }).click();
    await person.page.waitForURL((url) => url.pathname === '/app');
    return person;
  }

  fault(text) {
    if (!this.forgiven.some((pattern) => pattern.test(text))) this.faults.push(text);
  }

  // What the test itself brings about, as a refusal, is no fault.
  forgive(...patterns) {
    this.forgiven.push(...patterns);
  }

  // Leaves, after nothing was amiss.
  async leave() {
    await this.context.close();
    assert.deepEqual(this.faults, []);
  }
}

// How far the page is wider than its window.
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}
