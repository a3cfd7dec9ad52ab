// Reads {"baseUrl", "token", "search": {…}} from standard input, does with fhir-kit-client what an app does, and
// writes what it got as JSON: the SMART configuration, the capabilities, and every page of an ImagingStudy search.
import { readFileSync } from "node:fs";
import * as kit from "fhir-kit-client";

const MOST_PAGES = 100;

const { baseUrl, token, search } = JSON.parse(readFileSync(0, "utf8"));
const client = new kit.Client({ baseUrl, bearerToken: token });

const smart = await client.smartAuthMetadata();
const capabilities = await client.capabilityStatement();

const pages = [];
let page = await client.search({ resourceType: "ImagingStudy", searchParams: search });
while (page && pages.length < MOST_PAGES) {
  pages.push(page);
  page = page.link?.some((link) => link.relation === "next") ? await client.nextPage({ bundle: page }) : null;
}

process.stdout.write(JSON.stringify({ smart, capabilities, pages }));
