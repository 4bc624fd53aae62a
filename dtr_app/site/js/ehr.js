// The health record, through the SMART client: what is read for a form, and the response that is saved in it.

import { ORDER_TYPES, assertionsOf, below } from "./context.js";

/** What a reference points at. The token goes to the record's own server and nowhere else. */
export async function read(client, reference) {
  const path = below(client.state.serverUrl, reference);
  if (path === null) throw new Error("A reference leads to another server, which is not asked.");
  return client.request(path);
}

/** Resources of a search, all pages. */
export async function found(client, type, parameters) {
  const query = `${type}?${new URLSearchParams(parameters)}`;
  const resources = await client.request(query, { pageLimit: 20, flat: true });
  return resources.filter((one) => one.resourceType === type);
}

/** Orders of the patient for which a payer has named a form. A type that may not be searched is passed over. */
export async function ordersWithForms(client) {
  const searches = ORDER_TYPES.map((type) =>
    found(client, type, { patient: client.patient.id }).catch(() => []),
  );
  const orders = (await Promise.all(searches)).flat();
  return orders.filter((order) => assertionsOf(order).some((one) => one.questionnaires.length > 0));
}

/** Who answers: a reference for the response, and for each answer the practitioner and the role. */
export async function authorOf(client) {
  const user = client.user?.fhirUser;
  if (!user) return null;
  const reference = user.split("/").slice(-2).join("/");
  if (!reference.startsWith("PractitionerRole/")) return { reference, practitioner: { reference }, role: null };
  const role = await read(client, reference).catch(() => null);
  return {
    reference,
    practitioner: role?.practitioner ?? { reference },
    role: role?.code?.[0] ?? null,
  };
}

/** Creates or updates; the answer is the resource as the record now holds it. A draft that was changed elsewhere since
 * it was read is not overwritten: the record answers 409 or 412. */
export async function kept(client, response) {
  if (!response.id) return { ...response, ...idOf(await client.create(response)) };
  const version = response.meta?.versionId;
  const headers = version ? { "If-Match": `W/"${version}"` } : {};
  return { ...response, ...idOf(await client.update(response, { headers })) };
}

const idOf = (saved) => (saved?.id ? { id: saved.id, meta: saved.meta } : {});
