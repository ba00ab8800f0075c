// Pictures of every page that a link leads to, light and dark, into docs/ui. `cargo xtask browser --screenshots` runs it.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { Person, launch } from './parts/browser.mjs';
import { Gate } from './parts/gate.mjs';
import { seed } from './parts/seed.mjs';
import { Server } from './parts/server.mjs';
import { walk } from './parts/walker.mjs';

const FOLDER = fileURLToPath(new URL('../../docs/ui/', import.meta.url));
const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };
// A page that is longer is cut there.
const LONGEST = 1200;
// Also pictured as a phone shows them.
const POCKET = /^(app-organization|app-organization-workspaces|app-organization-workspaces-workspace|app-organization-workspaces-workspace-runs-run(-\d)?)$/;

// What differs from one time to the next: ids, moments, durations, ports.
function settle() {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    node.data = node.data
      .replace(/\b([a-z]{2,12})-[A-Za-z0-9]{16}\b/g, '$1-Nq3kXw7TzB5vLm9d')
      .replace(/\b\d\d:\d\d(:\d\d)?\b/g, (_, seconds) => (seconds ? '09:41:00' : '09:41'))
      .replace(/\b20\d\d-\d\d-\d\d\b/g, '2026-01-05')
      .replace(/\b\d+\.\d s\b/g, '1.0 s')
      .replace(/\b[\d.]+ ms\b/g, '640 ms')
      .replace(/\bholds \d+ MiB/g, 'holds 64 MiB')
      .replace(/\b[\d.]+ GiB free of [\d.]+ GiB/g, '160 GiB free of 250 GiB')
      .replace(/\S*\/ferroform-browser-\w+\/data/g, '/var/lib/ferroform')
      .replace(/127\.0\.0\.1:\d+/g, 'ferroform.example.com')
      .replace(/127\.0\.0\.1\/\d+/g, '127.0.0.1/8080')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '6ba7b810-9dad-11d1-80b4-00c04fd430c8');
  }
  for (const field of document.querySelectorAll('textarea, input')) {
    if (field.value) field.value = field.value.replace(/127\.0\.0\.1:\d+/g, 'ferroform.example.com');
  }
}

async function shoot(page, session, name, viewport) {
  await page.setViewportSize(viewport);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    await page.evaluate(settle);
    const height = Math.min(LONGEST, await page.evaluate(() => document.documentElement.scrollHeight));
    const clip = { x: 0, y: 0, width: viewport.width, height: Math.max(height, 400), scale: 1 };
    const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 40, clip, captureBeyondViewport: true });
    await writeFile(join(FOLDER, `${name}.${colorScheme}.webp`), Buffer.from(data, 'base64'));
  }
  await page.emulateMedia({ colorScheme: 'light' });
}

// `/app/…/workspaces/…/runs/…` as the name of a file.
function named(pattern, times) {
  const words = { app: 'organization', workspaces: 'workspace', runs: 'run', states: 'state', teams: 'team', projects: 'project', users: 'user' };
  const segments = pattern.split(/[/?&=]/).filter(Boolean);
  const name = segments.map((segment, at) => (segment === '…' ? (words[segments[at - 1]] ?? 'one') : segment)).join('-');
  return (times > 1 ? `${name}-${times}` : name).replace(/[^a-z0-9-]+/gi, '-').toLowerCase();
}

function index(pictures) {
  const lines = [
    '# What Ferroform looks like',
    '',
    'Every page of the web interface, light and dark, made anew by `cargo xtask browser --screenshots`. Ids, moments and',
    'durations are set to fixed ones, so that pictures change only when pages do.',
    '',
  ];
  for (const { name, pattern, title, kind } of pictures) {
    lines.push(`## ${title}${kind === 'phone' ? ', on a phone' : ''}`, '', `\`${pattern}\``, '');
    const width = kind === 'phone' ? 240 : 420;
    const image = (look) => `<img src="${name}.${look}.webp" width="${width}" alt="${title}, ${look}">`;
    lines.push(`${image('light')} ${image('dark')}`, '');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

const { FERROFORM_BROWSER_SERVER: program, FERROFORM_BROWSER_ENGINE: engine } = process.env;
const server = await Server.start({ program, engine });
const gate = await Gate.build();
const browser = await launch();
try {
  await mkdir(FOLDER, { recursive: true });
  for (const file of await readdir(FOLDER)) if (file.endsWith('.webp')) await rm(join(FOLDER, file));
  const pictures = [];
  const guest = await Person.arrive(browser, server);
  await guest.page.goto('/sign-in');
  await shoot(guest.page, await guest.context.newCDPSession(guest.page), 'sign-in', WIDE);
  pictures.push({ name: 'sign-in', pattern: '/sign-in', title: 'Sign in', kind: 'wide' });

  const starts = await seed(server, gate);
  const { page, context } = await Person.signedIn(browser, server);
  const session = await context.newCDPSession(page);
  const times = new Map();
  await walk(page, starts, async (pattern) => {
    const count = (times.get(pattern) ?? 0) + 1;
    times.set(pattern, count);
    // Of runs and workspaces each state is worth a look, of others the first and fullest, and no filter of one seen already.
    if (count > 1 && !/\/(runs|workspaces)\/…$/.test(pattern)) return;
    if (/\?(?!(phase=\w+|.*to)$)/.test(pattern)) return;
    const name = named(pattern, count);
    const heading = (await page.locator('h1').first().innerText()).trim();
    const place = await page.locator('nav.crumbs a').allInnerTexts();
    const title = [...place, heading].filter((word, at, all) => all.indexOf(word) === at).join(' · ');
    const stream = page.getByRole('region', { name: 'Log' });
    if (await stream.count()) await stream.locator('[id^=L]').first().waitFor();
    await shoot(page, session, name, WIDE);
    pictures.push({ name, pattern, title, kind: 'wide' });
    if (POCKET.test(name)) {
      await shoot(page, session, `${name}.phone`, PHONE);
      await page.setViewportSize(WIDE);
      pictures.push({ name: `${name}.phone`, pattern, title, kind: 'phone' });
    }
  });
  await writeFile(join(FOLDER, 'README.md'), index(pictures));
  console.log(`${pictures.length} pictures, light and dark, are in docs/ui`);
} finally {
  gate.tear();
  await browser.close();
  await server.stop();
}
