// /dtr/launch: SMART App Launch, from an EHR (iss and launch) or by itself (iss alone). Then the EHR comes back to /dtr/.

import { refused, troubled } from "./page.js";
import { ehrSettings } from "./service.js";

const asked = new URLSearchParams(location.search);
const iss = asked.get("iss");
const launch = asked.get("launch");

// SMART 2 spells its scopes otherwise; a server that does not say which it knows gets the older ones
async function scopes() {
  const reply = await fetch(`${iss.replace(/\/$/, "")}/.well-known/smart-configuration`, {
    headers: { Accept: "application/json" },
  }).catch(() => null);
  const capabilities = (await reply?.json().catch(() => null))?.capabilities ?? [];
  const record = capabilities.includes("permission-v2")
    ? ["patient/*.rs", "patient/QuestionnaireResponse.cu"]
    : ["patient/*.read", "patient/QuestionnaireResponse.write"];
  return [launch ? "launch" : "launch/patient", "openid", "fhirUser", ...record].join(" ");
}

try {
  if (!iss) {
    refused("No FHIR server is named: open this page from an order, or begin at the start page.");
  } else {
    const { clientId } = await ehrSettings(iss);
    await FHIR.oauth2.authorize({
      iss,
      launch: launch ?? undefined,
      clientId,
      scope: await scopes(),
      redirectUri: new URL("./", location.href).href,
      pkceMode: "required",
    });
  }
} catch (fault) {
  troubled("The health record did not let this page sign in.", fault);
}
