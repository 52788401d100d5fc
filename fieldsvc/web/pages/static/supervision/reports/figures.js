// Figures as tables: one for each service, its sites and months below each other, its figures side by side. Pure.

// `document` as /v1/kpis answers it. A cell that is suppressed has no number, and says so.
export function tables({ kpis, cells, totals }) {
  const order = new Map(kpis.map(({ kpi }, n) => [kpi, n]));
  const services = [...new Set(cells.map(({ service }) => service))].sort();
  return services.map((service) => {
    const own = cells.filter((cell) => cell.service === service);
    const columns = [...new Set(own.map(({ kpi }) => kpi))].sort((one, other) => order.get(one) - order.get(other));
    const rows = new Map();
    for (const cell of own) {
      const key = `${cell.month} ${cell.site}`;
      if (!rows.has(key)) rows.set(key, { month: cell.month, site: cell.site, cells: new Map() });
      rows.get(key).cells.set(cell.kpi, cell);
    }
    const sorted = [...rows.values()].sort((one, other) => other.month.localeCompare(one.month) || one.site.localeCompare(other.site));
    return { service, columns, rows: sorted, totals: new Map(totals.filter((each) => each.service === service).map((each) => [each.kpi, each])) };
  });
}

// The query of the figures that are asked for, the same for the table and for the CSV.
export function query({ from, until, site, service }) {
  const asked = new URLSearchParams({ from, until });
  if (site) asked.set("site", site);
  if (service) asked.set("service", service);
  return asked.toString();
}
