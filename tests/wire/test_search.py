"""The search language, over customers, products and prices."""

import httpx
import pytest
import stripe


@pytest.fixture(scope="module")
def names(client: stripe.StripeClient) -> dict[str, str]:
    """Customers by id."""
    people: dict[str, stripe.params.CustomerCreateParams] = {
        "ada": {"name": "Ada Lovelace", "email": "ada@example.com", "metadata": {"tier": "gold", "a b": "x"}},
        "bob": {"name": "Bob O'Neill", "email": "bob@example.org", "phone": "555", "metadata": {"tier": "silver"}},
        "cyd": {"name": 'Cyd "C" 100%', "email": "CYD@example.com"},
        "nil": {},
    }
    return {client.v1.customers.create(params).id: name for name, params in people.items()}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email:'ada@example.com'", ["ada"]),
        ("email:'ADA@EXAMPLE.COM'", ["ada"]),
        ("email~'example.com'", ["ada", "cyd"]),
        ('email~"example"', ["ada", "bob", "cyd"]),
        ("-email~'example.com'", ["bob", "nil"]),
        ("email~'example' AND -name:'Ada Lovelace'", ["bob", "cyd"]),
        ("email~'example' -name~'ada'", ["bob", "cyd"]),
        ("name:'Ada Lovelace' OR phone:'555'", ["ada", "bob"]),
        ("name:'Ada Lovelace' or phone:'555'", ["ada", "bob"]),
        (r"name:'Bob O\'Neill'", ["bob"]),
        ('name:"Bob O\'Neill"', ["bob"]),
        (r'name~"\"C\""', ["cyd"]),
        ("name~'00%'", ["cyd"]),
        ("name~'_da'", []),
        ("metadata['tier']:'gold'", ["ada"]),
        ("metadata[\"tier\"]:'gold' OR metadata['tier']:'silver'", ["ada", "bob"]),
        ("metadata['a b']:'x'", ["ada"]),
        ("metadata['tier']:null", ["cyd", "nil"]),
        ("-metadata['tier']:null", ["ada", "bob"]),
        ("phone:null", ["ada", "cyd", "nil"]),
        ("created>0", ["ada", "bob", "cyd", "nil"]),
        ("created>=9999999999", []),
        ("created<9999999999 AND phone:'555'", ["bob"]),
        ("created:12345", []),
    ],
)
def test_what_is_found(raw: httpx.Client, names: dict[str, str], query: str, found: list[str]) -> None:
    answer = raw.get("/v1/customers/search", params={"query": query})

    assert answer.status_code == 200, answer.text
    assert sorted(names[each["id"]] for each in answer.json()["data"]) == found


UNREADABLE = "We were unable to parse your search query."


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("email", UNREADABLE),
        ("email:", UNREADABLE),
        ("email:unquoted", UNREADABLE),
        ("email:'open", UNREADABLE),
        ("metadata:'x'", UNREADABLE),
        ("email['x']:'y'", UNREADABLE),
        ("email:'a' AND", UNREADABLE),
        ("AND email:'a'", UNREADABLE),
        ("(email:'a')", UNREADABLE),
        ("email:'a'phone:'b'", UNREADABLE),
        ("email:'a' AND phone:'b' OR name:'c'", "You may not combine AND and OR in the same search query."),
        ("email:'a' phone:'b' OR name:'c'", "You may not combine AND and OR in the same search query."),
        (" AND ".join(["email:'a'"] * 11), "A search query can contain at most 10 clauses."),
        ("email~'ab'", "The value of a substring search must be at least 3 characters long"),
        ("balance:1", "Field `balance` is an unsupported search field for resource `customers`."),
        ("email>'a'", "Field `email` does not support the search"),
        ("created~'123'", "Field `created` does not support the search"),
        ("created>'soon'", "Field `created` does not support the search"),
        ("created>null", "Field `created` does not support the search"),
    ],
)
def test_what_is_refused(raw: httpx.Client, query: str, message: str) -> None:
    answer = raw.get("/v1/customers/search", params={"query": query})

    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(message)
    assert answer.json()["error"]["param"] == "query"


def test_a_query_is_required(raw: httpx.Client) -> None:
    assert raw.get("/v1/customers/search").json()["error"]["code"] == "parameter_missing"


def test_pages(client: stripe.StripeClient, names: dict[str, str]) -> None:
    query = "email~'example'"
    first = client.v1.customers.search({"query": query, "limit": 2})
    assert (first.has_more, len(first.data)) == (True, 2)
    second = client.v1.customers.search({"query": query, "limit": 2, "page": str(first.next_page)})

    assert [second.next_page, second.has_more, len(second.data)] == [None, False, 1]
    paged = client.v1.customers.search({"query": query, "limit": 1}).auto_paging_iter()
    assert [names[each.id] for each in paged] == ["cyd", "bob", "ada"]


@pytest.mark.parametrize("page", ["!", "abc", "a" * 500])
def test_a_page_of_ones_own_making_is_refused(raw: httpx.Client, page: str) -> None:
    answer = raw.get("/v1/customers/search", params={"query": "created>0", "page": page})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "page"


def test_deleted_customers_and_those_on_test_clocks_are_not_found(client: stripe.StripeClient) -> None:
    clock = client.v1.test_helpers.test_clocks.create({"frozen_time": 1_700_000_000}).id
    client.v1.customers.create({"name": "Unseen", "test_clock": clock})
    client.v1.customers.delete(client.v1.customers.create({"name": "Unseen"}).id)

    assert client.v1.customers.search({"query": "name:'Unseen'"}).data == []


def test_names_in_any_script_are_found(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"name": "ŁUKASZ Ünal 日本"})

    whole = client.v1.customers.search({"query": "name:'ŁUKASZ Ünal 日本'"})
    part = client.v1.customers.search({"query": "name~'KASZ Ünal'"})

    assert [each.id for each in whole.data] == [each.id for each in part.data] == [made.id]


def test_products_and_prices_have_fields_of_their_own(client: stripe.StripeClient) -> None:
    shirt = client.v1.products.create({"name": "Shirt", "shippable": True, "description": "Soft and grey"})
    price = client.v1.prices.create(
        {"currency": "eur", "unit_amount": 1, "product": shirt.id, "lookup_key": "shirt", "active": False}
    )

    def products(query: str) -> list[str]:
        return [each.id for each in client.v1.products.search({"query": query})]

    def prices(query: str) -> list[str]:
        return [each.id for each in client.v1.prices.search({"query": query})]

    assert products("shippable:'true' AND active:'true'") == [shirt.id]
    assert products("description~'grey'") == [shirt.id]
    assert products("name:'Shirt' AND -shippable:'true'") == []
    assert prices(f"product:'{shirt.id}' AND active:'false' AND currency:'EUR'") == [price.id]
    assert prices("lookup_key:'shirt' OR type:'recurring'") == [price.id]
