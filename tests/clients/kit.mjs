// Walks a FHIR server with fhir-kit-client: node kit.mjs MODULE_FOLDER BASE TOKEN. Prints one JSON object of what it saw.
import { createRequire } from 'node:module';

const [folder, baseUrl, bearerToken] = process.argv.slice(2);
const Client = createRequire(`${folder}/package.json`)('fhir-kit-client');
const client = new Client({ baseUrl, bearerToken });
const seen = {};

const statusOf = async (promise) => promise.then(() => 'no error', (error) => error.response.status);

const statement = await client.capabilityStatement();
seen.fhirVersion = statement.fhirVersion;

const made = await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', name: [{ family: '赵' }] } });
seen.read = (await client.read({ resourceType: 'Patient', id: made.id })).name[0].family;
seen.updated = (
  await client.update({ resourceType: 'Patient', id: made.id, body: { ...made, gender: 'female' } })
).meta.versionId;
seen.patched = (
  await client.patch({
    resourceType: 'Patient',
    id: made.id,
    JSONPatch: [{ op: 'replace', path: '/gender', value: 'male' }],
  })
).gender;
seen.vread = (await client.vread({ resourceType: 'Patient', id: made.id, version: '1' })).gender ?? 'none';
seen.history = (await client.history({ resourceType: 'Patient', id: made.id })).entry.length;

for (const number of [0, 1, 2, 3, 4]) {
  await client.create({ resourceType: 'Patient', body: { resourceType: 'Patient', name: [{ family: `钱${number}` }] } });
}
let page = await client.search({ resourceType: 'Patient', searchParams: { family: '钱', _count: 2, _sort: 'family' } });
seen.pages = [];
while (page) {
  seen.pages.push(page.entry.map((entry) => entry.resource.name[0].family));
  page = await client.nextPage({ bundle: page });
}
seen.posted = (
  await client.search({ resourceType: 'Patient', searchParams: { family: '钱3' }, options: { postSearch: true } })
).entry.length;
seen.compartment = (
  await client.search({ resourceType: 'Observation', compartment: { resourceType: 'Patient', id: made.id } })
).total;
seen.batch = (
  await client.batch({
    body: {
      resourceType: 'Bundle',
      type: 'batch',
      entry: [{ request: { method: 'GET', url: `Patient/${made.id}` } }],
    },
  })
).entry[0].response.status;
seen.everything = (
  await client.operation({ name: 'everything', resourceType: 'Patient', id: made.id, method: 'GET' })
).entry[0].resource.id === made.id;

await client.delete({ resourceType: 'Patient', id: made.id });
seen.deleted = await statusOf(client.read({ resourceType: 'Patient', id: made.id }));
seen.unknown = await statusOf(client.read({ resourceType: 'Patient', id: 'none' }));
seen.invalid = await statusOf(client.search({ resourceType: 'Patient', searchParams: { nonsense: '1' } }));
client.bearerToken = 'wrong';
seen.stranger = await statusOf(client.read({ resourceType: 'Patient', id: made.id }));
console.log(JSON.stringify(seen));
