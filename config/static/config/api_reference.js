/* Gives Swagger UI's page the names that it lacks. A path inside an operation's button is no link of its own: the button
   opens the operation, and its address is set by Swagger UI. */
(() => {
  "use strict";

  const page = document.getElementById("swagger-ui");

  const REGIONS = [
    [".information-container", "About the API"],
    [".schemes-server-container", "Server and key"],
  ];

  const correct = () => {
    for (const link of page.querySelectorAll(".opblock-summary-control a[href]")) link.removeAttribute("href");
    for (const heading of page.querySelectorAll("h4:not([aria-level])")) heading.setAttribute("aria-level", "3");
    page.querySelector("select#servers")?.setAttribute("aria-label", "Server");
    for (const [part, name] of REGIONS) {
      const region = page.querySelector(part);
      region?.setAttribute("role", "region");
      region?.setAttribute("aria-label", name);
    }
  };

  new MutationObserver(correct).observe(page, { childList: true, subtree: true });
})();
