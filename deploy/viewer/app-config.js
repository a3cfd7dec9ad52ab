/* OHIF as the viewer of an exchange: it opens the one study that it was launched with, and nothing else.
 *
 * The gateway's page (/retrieval/view) leads here with #study=…&code=… behind the address, which browsers send to no
 * server. The code is good once; for it the gateway gives a token for that study at that facility, good for minutes, and
 * the code for the next one. Nothing is read from the address but these two, and nothing is sent to any other place than
 * the gateway and the facility that it names.
 */
window.config = (function () {
  "use strict";
  const GATEWAY = "${VIEWER_GATEWAY}";
  const launch = new URLSearchParams(window.location.hash.slice(1));
  const study = launch.get("study") || "";
  const known = /^[0-9]+(\.[0-9]+)+$/.test(study) && study.length <= 64;
  let access = null;

  // What is opened is told to this page's own router alone; the code is in no history.
  window.history.replaceState(null, "", "/viewer" + (known ? "?StudyInstanceUIDs=" + study : ""));

  async function redeem(code) {
    const answer = await fetch(GATEWAY + "/retrieval/view/token", {
      method: "POST",
      body: new URLSearchParams({ code }),
      credentials: "omit",
      referrerPolicy: "no-referrer",
      redirect: "error",
    });
    if (!answer.ok) throw new Error("the gateway refused");
    access = await answer.json();
    const pause = Math.max(5, access.expires_in * 0.7) * 1000;
    // A refusal here is one: the token runs out, and the facility then refuses too.
    if (access.code) window.setTimeout(() => redeem(access.code).catch(() => {}), pause);
  }

  function say(words) {
    const shown = document.createElement("p");
    shown.setAttribute("role", "alert");
    shown.textContent = words;
    shown.style.cssText =
      "position:fixed;z-index:9999;top:3.5rem;left:50%;transform:translateX(-50%);margin:0;padding:.75rem 1.25rem;" +
      "max-width:40rem;background:#fff;color:#7a1113;border:2px solid #7a1113;border-radius:.3rem;font:1rem sans-serif";
    document.body.append(shown);
  }

  let told = false;
  function noteRefusal(failed) {
    const refused = failed && (failed.status === 401 || failed.status === 403);
    const address = String((failed && failed.request && failed.request.responseURL) || "");
    // That it may not look for the patient's other studies is as it should be.
    if (!refused || told || address.includes("/studies?")) return;
    told = true;
    say("Some or all of these images are not open to you, or not any more. What can't be loaded stays empty.");
  }

  return async function ({ servicesManager }) {
    try {
      if (!known) throw new Error("no study");
      await redeem(launch.get("code") || "");
    } catch {
      say("This link has been used, or is too old. Open the study once more from where you came.");
      return new Promise(() => {});
    }
    const images = {
      friendlyName: "Exchange",
      name: "exchange",
      qidoRoot: access.address,
      wadoRoot: access.address,
      qidoSupportsIncludeField: false,
      imageRendering: "wadors",
      thumbnailRendering: "wadors",
      enableStudyLazyLoad: true,
      supportsFuzzyMatching: false,
      supportsWildcard: false,
      staticWado: false,
      singlepart: "bulkdata,video",
      omitQuotationForMultipartRequest: true,
      bulkDataURI: { enabled: false },
      onConfiguration: (configuration) => {
        servicesManager.services.userAuthenticationService.setServiceImplementation({
          getAuthorizationHeader: () => ({ Authorization: "Bearer " + access.access_token }),
          handleUnauthenticated: () => null,
        });
        return configuration;
      },
    };
    return {
      routerBasename: null,
      extensions: [],
      modes: [],
      customizationService: {},
      showStudyList: false,
      httpErrorHandler: noteRefusal,
      maxNumberOfWebWorkers: 2,
      showWarningMessageForCrossOrigin: false,
      showCPUFallbackMessage: false,
      showLoadingIndicator: true,
      strictZSpacingForVolumeViewport: true,
      investigationalUseDialog: { option: "never" },
      defaultDataSourceName: "exchange",
      dataSources: [
        {
          namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
          sourceName: "exchange",
          configuration: images,
        },
      ],
    };
  };
})();
