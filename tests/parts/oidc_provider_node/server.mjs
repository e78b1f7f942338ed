// A certified OpenID provider on loopback, driven by one JSON line a command on standard input.
//
// argv[2] is its first state as JSON: {port, algorithm, kid, resource, audience, accounts, clients, accessTokenTtl}.
// Each command is answered by one JSON line; the first line of output is {issuer}. It ends when its input does, so
// it can't outlive the test that started it. Whoever arrives at the login page is signed in as `login_hint`, or else
// as the default account: there is nobody to type a password.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { Provider } from 'oidc-provider';

const state = JSON.parse(process.argv[2]);
state.account ??= Object.keys(state.accounts)[0];

const KEY_PAIRS = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  PS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  Ed25519: () => generateKeyPairSync('ed25519'),
};

function newKey(kid) {
  const { privateKey } = KEY_PAIRS[state.algorithm]();
  const jwk = { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: state.algorithm };
  jwk.kid = kid ?? createHash('sha256').update(JSON.stringify(jwk)).digest('base64url').slice(0, 16);
  return jwk;
}

async function findAccount(ctx, accountId) {
  const claims = state.accounts[accountId];
  return claims && { accountId, claims: () => ({ sub: accountId, ...claims }) };
}

// Everybody has consented to everything they ask for.
async function loadExistingGrant(ctx) {
  const { client, session, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid email profile groups offline_access');
  grant.addOIDCClaims(['email', 'email_verified', 'name', 'preferred_username', 'groups']);
  grant.addResourceScope(state.resource, 'api');
  await grant.save();
  return grant;
}

function accountClaims(accountId) {
  const { email, email_verified, preferred_username, groups } = state.accounts[accountId] ?? {};
  return { email, email_verified, preferred_username, groups };
}

const cookieKeys = [randomBytes(16).toString('hex')];
let keys = [newKey(state.kid)];
let answer;

function rebuild() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: state.clients.map((client) => ({ id_token_signed_response_alg: state.algorithm, ...client })),
    clientDefaults: { id_token_signed_response_alg: state.algorithm },
    enabledJWA: { idTokenSigningAlgValues: [state.algorithm] },
    cookies: { keys: cookieKeys },
    claims: {
      openid: ['sub', 'groups'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username'],
    },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups', 'api'],
    conformIdTokenClaims: false,
    findAccount,
    loadExistingGrant,
    extraTokenClaims: (ctx, token) => (token.accountId ? accountClaims(token.accountId) : undefined),
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => state.resource,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'api',
          audience: state.audience,
          accessTokenFormat: 'jwt',
          accessTokenTTL: state.accessTokenTtl,
          jwt: { sign: { alg: state.algorithm } },
        }),
      },
    },
    ttl: {
      AccessToken: state.accessTokenTtl,
      AuthorizationCode: 60,
      ClientCredentials: state.accessTokenTtl,
      DeviceCode: 600,
      Grant: 86400,
      IdToken: state.accessTokenTtl,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
  });
  const callback = provider.callback();
  answer = async (request, response) => {
    if (!request.url.startsWith('/interaction/')) return callback(request, response);
    const { params } = await provider.interactionDetails(request, response);
    return provider.interactionFinished(request, response, {
      login: { accountId: params.login_hint || state.account },
      consent: {},
    });
  };
}

const COMMANDS = {
  rotate({ kid, keepOld }) {
    keys = keepOld ? [newKey(kid), ...keys] : [newKey(kid)];
    rebuild();
  },
  account({ name, claims }) {
    state.accounts[name] = claims;
  },
  signInAs({ name }) {
    state.account = name;
  },
};

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    response.writeHead(500).end(String(error));
  });
});
await new Promise((resolve) => {
  server.listen(state.port, '127.0.0.1', resolve);
});
const issuer = `http://127.0.0.1:${server.address().port}`;
rebuild();
console.log(JSON.stringify({ issuer }));

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...parameters } = JSON.parse(line);
  COMMANDS[command](parameters);
  console.log('{}');
}
server.closeAllConnections();
server.close();
