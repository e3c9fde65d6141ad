// The real OpenID Connect provider (the npm package oidc-provider) with a login page of its own, for the tests.
// Arguments: port. It prints "ready" once it listens. Accounts are whoever signs in: sub `sub-<login>`; a login with `+mfa` proves
// a second factor, one with `=name` has that preferred_username.
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import Provider from 'oidc-provider';

const port = Number(process.argv[2]);
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const key = { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
const client = (id) => ({
  client_id: id,
  client_secret: `secret-of-${id}`,
  redirect_uris: ['http://testserver/api/v1/oidc/callback'],
  grant_types: ['authorization_code'],
  response_types: ['code'],
});

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client('hotline'), client('another')],
  jwks: { keys: [key] },
  cookies: { keys: [randomUUID()] },
  claims: { openid: ['sub', 'amr'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  ttl: { IdToken: 120, AccessToken: 120, AuthorizationCode: 60, Grant: 600, Interaction: 600, Session: 600 },
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  pkce: { required: () => true },
  findAccount: (_ctx, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id.replace(/^sub-/, '').replace('+mfa', '').split('=').pop() }),
  }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({
      clientId: ctx.oidc.client.clientId,
      accountId: ctx.oidc.session.accountId,
    });
    grant.addOIDCScope('openid profile');
    await grant.save();
    return grant;
  },
});

const page = '<!doctype html><form method="post"><input name="login"><button>sign in</button></form>';

async function interact(req, res) {
  await provider.interactionDetails(req, res);
  if (req.method !== 'POST') {
    res.setHeader('content-type', 'text/html');
    res.end(page);
    return;
  }
  let body = '';
  for await (const part of req) body += part;
  const login = new URLSearchParams(body).get('login');
  const result = login
    ? { login: { accountId: `sub-${login}`, amr: login.includes('+mfa') ? ['pwd', 'mfa'] : ['pwd'] } }
    : { error: 'access_denied', error_description: 'the person went away' };
  await provider.interactionFinished(req, res, result, { mergeWithLastSubmission: false });
}

const serve = provider.callback();
createServer((req, res) => {
  if (!req.url.startsWith('/interaction/')) {
    serve(req, res);
    return;
  }
  interact(req, res).catch((error) => {
    res.statusCode = 400;
    res.end(String(error.message));
  });
}).listen(port, '127.0.0.1', () => console.log('ready'));
