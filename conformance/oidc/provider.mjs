// The OpenID provider of the tests: `oidc-provider`, which is certified, with people who sign in without being asked.
//
// node provider.mjs PORT REDIRECT_URI, and in PEOPLE their claims by subject, as JSON. `GET /as/SUBJECT` says who sits at the
// browser from now on (`nobody`: who declines). With IN_TOKEN=1 the ID token has the address; otherwise it is asked for separately, as the
// standard has it. Everything else is the library's.
import http from 'node:http';
import Provider from 'oidc-provider';

const [port, redirect] = process.argv.slice(2);
const people = JSON.parse(process.env.PEOPLE);
let who;

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{ client_id: 'ferroform', client_secret: 'secret of the tests: %', redirect_uris: [redirect] }],
  pkce: { required: () => true, methods: ['S256'] },
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['preferred_username'] },
  conformIdTokenClaims: process.env.IN_TOKEN !== '1',
  cookies: { keys: ['of the tests'] },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...people[id] }) }),
  async loadExistingGrant(ctx) {
    const { client, session } = ctx.oidc;
    const grant = new ctx.oidc.provider.Grant({ clientId: client.clientId, accountId: session.accountId });
    grant.addOIDCScope('openid email profile');
    await grant.save();
    return grant;
  },
});
const answer = provider.callback();

http.createServer(async (request, response) => {
  if (request.url.startsWith('/as/')) {
    who = request.url.slice('/as/'.length);
    response.end();
  } else if (request.url.startsWith('/interaction/')) {
    const result = who === 'nobody' ? { error: 'access_denied' } : { login: { accountId: who } };
    await provider.interactionFinished(request, response, result);
  } else {
    answer(request, response);
  }
}).listen(Number(port), '127.0.0.1', () => console.log('ready'));
