// An OpenID provider for the tests: reads its settings as JSON from the environment (PROVIDER), serves on loopback, and
// asks who somebody is on a page of its own. Accounts: {id: {claims…}}; `amr` is chosen on the page, and `old` there makes
// the proof eleven minutes old.
import { Provider } from "oidc-provider";

const { port, clients, accounts, jwks } = JSON.parse(process.env.PROVIDER);
const issuer = `http://127.0.0.1:${port}`;

const provider = new Provider(issuer, {
  clients,
  jwks,
  scopes: ["openid", "profile", "exchange"],
  claims: { openid: ["sub", "amr", "acr", "auth_time"], profile: ["name", "preferred_username"], exchange: ["roles", "person"] },
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: false } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, id) => accounts[id] && { accountId: id, claims: () => ({ sub: id, ...accounts[id] }) },
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid profile exchange");
    await grant.save();
    return grant;
  },
  cookies: { keys: ["only for tests"] },
  pkce: { required: () => true },
});

const read = async (request) => {
  let text = "";
  for await (const chunk of request) text += chunk;
  return new URLSearchParams(text);
};

provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith("/interaction/")) return next();
  if (ctx.method === "GET") {
    ctx.type = "html";
    ctx.body =
      '<!doctype html><title>Provider</title><form method="post">' +
      '<label>Who <input name="who"></label><label>How <input name="how" value="pwd"></label>' +
      '<button name="go" value="in">Go on</button><button name="go" value="out">Refuse</button></form>';
    return undefined;
  }
  const form = await read(ctx.req);
  const how = (form.get("how") || "").split(" ");
  const ts = Math.floor(Date.now() / 1000) - (how.includes("old") ? 660 : 0);
  const result =
    form.get("go") === "out"
      ? { error: "access_denied", error_description: "<script>alert(1)</script>" }
      : { login: { accountId: form.get("who"), amr: how.filter((word) => word !== "old"), ts } };
  ctx.respond = false;
  await provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: false });
  return undefined;
});

provider.listen(port, "127.0.0.1", () => process.stdout.write("ready\n"));
