// A certified OpenID provider on loopback, driven by one JSON line a command on standard input.
//
// argv[2] is its first state as JSON: {port, algorithm, kid, resource, audience, accounts, clients, accessTokenTtl,
// accessTokenFormat, tokenPrefix, assurance, sendsIssuer, tls}. Each command is answered by one JSON line; the first line
// of output is {issuer}. It ends when its input does, so it can't outlive the test that started it. Whoever arrives at
// the login page is signed in as `login_hint`, or else as the default account: there is nobody to type a password.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createInterface } from 'node:readline';
import { Provider, interactionPolicy } from 'oidc-provider';
import MemoryAdapter from 'oidc-provider/lib/adapters/memory_adapter.js';

const state = JSON.parse(process.argv[2]);
state.account ??= Object.keys(state.accounts)[0];
state.loginAge = 0;

// What the scopes `email` and `profile` hold; any other claim of an account comes with `openid`.
const SCOPED = { email: ['email', 'email_verified'], profile: ['name', 'preferred_username'] };
const IN_ACCESS_TOKENS = ['email', 'email_verified', 'preferred_username', 'groups'];

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
  if (!claims) return undefined;
  const { userinfo, ...everywhere } = claims;
  return { accountId, claims: (use) => ({ sub: accountId, ...everywhere, ...(use === 'userinfo' ? userinfo : {}) }) };
}

function claimNames() {
  const scoped = new Set(Object.values(SCOPED).flat());
  const names = Object.values(state.accounts).flatMap((claims) => Object.keys(claims));
  return [...new Set(['groups', ...names])].filter((name) => !scoped.has(name) && !name.startsWith('_claim_'));
}

// Everybody has consented to everything they ask for.
async function loadExistingGrant(ctx) {
  const { client, session, provider } = ctx.oidc;
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope('openid email profile groups offline_access');
  grant.addOIDCClaims([...Object.values(SCOPED).flat(), ...claimNames()]);
  grant.addResourceScope(state.resource, 'api');
  await grant.save();
  return grant;
}

function extraTokenClaims(ctx, token) {
  if (!token.accountId) return undefined;
  const { AuthorizationCode, RefreshToken, DeviceCode } = ctx.oidc.entities;
  const login = AuthorizationCode ?? RefreshToken ?? DeviceCode ?? {};
  const account = state.accounts[token.accountId] ?? {};
  const claims = Object.fromEntries(IN_ACCESS_TOKENS.map((name) => [name, account[name]]));
  return { ...claims, ...account.access_token, acr: login.acr, amr: login.amr, auth_time: login.authTime };
}

// Takes what RFC 9207 adds out of metadata and authorization responses.
async function withoutIssuer(ctx, next) {
  await next();
  const location = ctx.response.get('location');
  if (ctx.path === '/.well-known/openid-configuration') {
    delete ctx.body.authorization_response_iss_parameter_supported;
  } else if (URL.canParse(location)) {
    const url = new URL(location);
    url.searchParams.delete('iss');
    ctx.set('location', url.href);
  }
}

// A session of another assurance than the one that is asked for has to log in again.
function policy() {
  const prompts = interactionPolicy.base();
  prompts.get('login').checks.add(
    new interactionPolicy.Check('acr_values', 'stronger authentication is required', ({ oidc }) => {
      const asked = askedAssurance(oidc.params.acr_values);
      return asked.length > 0 && !asked.includes(oidc.session.acr) && !oidc.result?.login;
    }),
  );
  return prompts;
}

function askedAssurance(acrValues) {
  return (acrValues ?? '').split(' ').filter((acr) => acr in state.assurance);
}

function login(params) {
  const acr = askedAssurance(params.acr_values)[0] ?? Object.keys(state.assurance)[0];
  const age = params.max_age === undefined ? state.loginAge : 0;
  const ts = Math.floor(Date.now() / 1000) - age;
  return { accountId: params.login_hint || state.account, acr, amr: state.assurance[acr], ts };
}

// A provider that is built anew, with another key or client, still knows its sessions and tokens: a subclass shares the
// memory of all instances, which the library's own default would not.
class Memory extends MemoryAdapter {}

const cookieKeys = [randomBytes(16).toString('hex')];
const requests = {};
const sessions = new Set();
let keys = [newKey(state.kid)];
let provider;
let answer;

function rebuild() {
  provider = new Provider(issuer, {
    adapter: Memory,
    // Without the dispatcher that refuses addresses of this machine: the clients to be told of logouts are here.
    fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
    jwks: { keys },
    clients: state.clients.map((client) => ({ id_token_signed_response_alg: state.algorithm, ...client })),
    clientDefaults: { id_token_signed_response_alg: state.algorithm },
    enabledJWA: { idTokenSigningAlgValues: [state.algorithm], userinfoSigningAlgValues: [state.algorithm] },
    cookies: { keys: cookieKeys },
    claims: { openid: ['sub', 'acr', 'amr', 'auth_time', ...claimNames()], ...SCOPED },
    scopes: ['openid', 'offline_access', 'email', 'profile', 'groups', 'api'],
    acrValues: Object.keys(state.assurance),
    conformIdTokenClaims: false,
    findAccount,
    loadExistingGrant,
    extraTokenClaims,
    issueRefreshToken: (ctx, client) => client.grantTypeAllowed('refresh_token'),
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}`, policy: policy() },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      deviceFlow: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (ctx, client) => client.clientAuthMethod !== 'none' },
      jwtUserinfo: { enabled: true },
      revocation: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      backchannelLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (ctx) => (state.resourceTokens ? state.resource : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'api',
          audience: state.audience,
          accessTokenFormat: state.accessTokenFormat,
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
  for (const kind of [provider.AccessToken, provider.ClientCredentials]) {
    const { generateTokenId } = kind.prototype;
    kind.prototype.generateTokenId = function prefixed() {
      return state.tokenPrefix + generateTokenId.call(this);
    };
  }
  if (!state.sendsIssuer) provider.use(withoutIssuer);
  provider.on('session.saved', (session) => sessions.add(session.uid));
  const callback = provider.callback();
  answer = async (request, response) => {
    const path = new URL(request.url, issuer).pathname;
    requests[path] = (requests[path] ?? 0) + 1;
    if (!path.startsWith('/interaction/')) return callback(request, response);
    const { params } = await provider.interactionDetails(request, response);
    return provider.interactionFinished(request, response, { login: login(params), consent: {} });
  };
}

// Ends every session of an account as its own logout page would, and tells each client that wants to know.
async function endSessions({ name, revoke }) {
  const told = [];
  for (const uid of sessions) {
    const session = await provider.Session.findByUid(uid);
    if (session?.accountId !== name) continue;
    for (const [clientId, { grantId }] of Object.entries(session.authorizations ?? {})) {
      const client = await provider.Client.find(clientId);
      if (client?.backchannelLogoutUri) {
        const status = await client.backchannelLogout(name, session.sidFor(clientId)).then(
          () => 200,
          (error) => error.response?.status ?? 0,
        );
        told.push({ client: clientId, status });
      }
      if (revoke && grantId) {
        await provider.RefreshToken.revokeByGrantId(grantId);
        await provider.AccessToken.revokeByGrantId(grantId);
        await (await provider.Grant.find(grantId))?.destroy();
      }
    }
    await session.destroy();
    sessions.delete(uid);
  }
  return { told };
}

const COMMANDS = {
  rotate({ kid, keepOld }) {
    keys = keepOld ? [newKey(kid), ...keys] : [newKey(kid)];
    rebuild();
  },
  account({ name, claims }) {
    state.accounts[name] = claims;
    rebuild();
  },
  removeAccount({ name }) {
    delete state.accounts[name];
  },
  client({ id, members }) {
    const client = state.clients.find((each) => each.client_id === id);
    Object.assign(client, members);
    rebuild();
  },
  signInAs({ name }) {
    state.account = name;
  },
  loginsAreOld({ seconds }) {
    state.loginAge = seconds;
  },
  endSessions,
  requests: () => ({ requests }),
};

function handle(request, response) {
  answer(request, response).catch((error) => {
    response.writeHead(500).end(String(error));
  });
}
const server = state.tls ? createTlsServer(state.tls, handle) : createServer(handle);
await new Promise((resolve) => {
  server.listen(state.port, '127.0.0.1', resolve);
});
const issuer = `${state.tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
rebuild();
console.log(JSON.stringify({ issuer }));

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...parameters } = JSON.parse(line);
  console.log(JSON.stringify((await COMMANDS[command](parameters)) ?? {}));
}
server.closeAllConnections();
server.close();
