-- Requests of customers who are signed in: theirs to read again, on whichever device they come back
--
-- `customer` is the account that asked, none for who asked with what they know of an item. It is no name and says nothing alone.

alter table request add column customer text;

create index request_by_customer on request (customer, asked_at) where customer is not null;

create policy of_customer on request for select to fieldsvc_reader using (
  viewer('role') = 'customer' and customer = viewer('account'));
