// Waiting for what tells nobody: another process that starts, or a run that is followed from no page.
import { setTimeout } from 'node:timers/promises';

const PATIENCE = 60_000;

// Asks until the answer is true, and gives that; `what` is to come true.
export async function again(what, ask) {
  const until = Date.now() + PATIENCE;
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() > until) throw new Error(`it did not come true in a minute: ${what}`);
    await setTimeout(25);
  }
}
